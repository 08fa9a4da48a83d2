"""An adapter → answers: engines, decoding, sessions. Knows nothing of training."""
