"""One module per schema version, oldest first; a step that was released is never changed."""
