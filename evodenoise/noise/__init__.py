"""What the noise of an image is, read blindly."""
