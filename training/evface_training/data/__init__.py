"""Annotated faces: readers of data sets, one packed set of crops, and the validation split.

A reader (`wflw`, `pts`, `face_pack`, `videos`) is a file and a row in `loading.LAYOUTS`.
"""
