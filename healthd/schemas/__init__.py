"""JSON Schemas of the files that people write, made from the code that reads them."""
