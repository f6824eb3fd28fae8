"""Client managers that make servers of python-socketio and Flask-SocketIO nodes of a zmqio cluster.

pip install "zmqio[python-socketio]"
"""

from zmqio.python_socketio.async_manager import AsyncManager
from zmqio.python_socketio.manager import Manager

__all__ = ["AsyncManager", "Manager"]
