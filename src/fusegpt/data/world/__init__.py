"""A synthetic world of roads, traffic, a camera and a LiDAR: driving data for machines that have none."""
