"""Simulation: images of faces → events with landmarks.

Light over time (what the sensor receives):
    light           frames of log light with landmarks, flicker of lamps
    opening         `simulate SOURCE`: which class opens a path or a URI
    still, video, synthetic    light from an image, a video, a rendered avatar
    tone            gamma-coded images ↔ linear and log light

Motion of a still face, for training clips and benchmark sets:
    motion          the motion prior and its trajectories
    fields, relief, lids, occluders    displacement fields, turning heads, blinks, objects in front
    scene           renders images with all of these at any instant
    textures        images without a face

The event camera:
    camera, presets    the camera prior and cameras by name
    pixels          the pixel model: log light → threshold crossings
    noise, readout  shot noise and hot pixels; the bus and the clock
    frame_camera    the RGB frame of the same instant
    ranges          checks and draws of the priors' ranges

What comes out:
    clip_prior, clips, voxels    batches of training clips
    recording, writing, event_source    recordings, files, sources for the SDK
"""
