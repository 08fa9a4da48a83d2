"""Base models and adapters as things: presets, fetching, loading, inspecting. Knows nothing of data or training."""
