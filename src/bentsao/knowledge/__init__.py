"""What is true, and where it says so: schema, importers, store, entity linking, search, verification. No torch here."""
