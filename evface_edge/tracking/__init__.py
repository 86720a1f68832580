"""Tracking of faces.

event_buffer      the newest events
network           crop → detection (landmarks, σ, presence)
face_detector     candidates of detector_network → confirmed detections
track             one face over time; state_machine has its states and transitions
tracker           all faces
fixed_box         a face whose box is given
policy            settings
"""
