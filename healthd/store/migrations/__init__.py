"""The steps that bring a state file from any older schema to the newest, run by alembic."""
