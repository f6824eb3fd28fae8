"""Configurations of nginx and HAProxy as balancers in front of nodes. Generates text; runs nothing."""
