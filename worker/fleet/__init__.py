"""The fleet at a glance: what is known of every certificate, rotation and gateway at this moment."""
