"""From waypoints to driving: control, and closed-loop scoring."""
