"""An image as its overlapping patches, and back."""
