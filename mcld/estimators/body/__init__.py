"""An embedded reader of bodies: what photos and keypoints show, without weights to download."""

LANDMARKS = 33
"""BlazePose's: head, shoulders, elbows, wrists, hands, hips, knees, ankles, feet."""
