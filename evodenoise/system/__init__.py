"""What the machine offers: devices, threads, files that appear whole, and what work takes."""
