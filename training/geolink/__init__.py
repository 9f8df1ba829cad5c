"""3D-aware training (GeoLink): point clouds guide the image towers, and nothing of it flies."""
