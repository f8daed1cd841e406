"""A minimal made-up task: how many of three lamps are lit in the last of two frames?"""
