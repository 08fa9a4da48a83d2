"""The web page: talk with the served models, read the knowledge base, read reports. `build_page`, `mount_page`."""
