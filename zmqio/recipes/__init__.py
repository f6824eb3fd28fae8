"""Configurations of balancers in front of the nodes: nginx and HAProxy. Text is made here, nothing is run."""
