"""An embedded reader of bodies: what photos and keypoints show, without weights to download."""
