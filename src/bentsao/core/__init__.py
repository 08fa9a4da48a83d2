"""What all rooms speak: records, files, errors, chat formats, the renderer. Imports the stdlib and pydantic only."""
