"""From files to files: one image or many."""
