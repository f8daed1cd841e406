"""A made-up task, as little as there can be of one: how many of three lamps are lit in the last of two frames?"""
