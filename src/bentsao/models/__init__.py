"""Base models and adapters as things: presets, fetching, loading, merging; remote ones in `remote/`. Knows no data."""
