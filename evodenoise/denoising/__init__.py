"""From noisy arrays to clean ones."""
