"""Generated scenes -> training pairs -> a detection network."""
