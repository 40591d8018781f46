"""Doors into other people's trainings and libraries; each imports its library only when it is used."""
