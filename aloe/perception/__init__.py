"""From pixels to object latents, and into the latents store."""
