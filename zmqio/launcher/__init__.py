"""`zmqio serve`: one port, a pool of worker processes, and each session routed to the worker that owns it.

serve            check the options, open the listeners, run a supervisor on the event loop
supervisor       handle signals, run rolling restarts, stop everything in order
worker_pool      all running workers           slot             one place in the pool, kept occupied
silence          which processes hang (pure)
broker_process   the broker, when none was given               restarts         back-off and crash loops (pure)
options, app_import, listener, tags, rlimits, process_exit, code_watcher         one small job each

accept/   take connections and pass each one to a worker
  dispatcher       the interface that the supervisor and the pool use, and its one-process version
  acceptor_pool    its version with several acceptor processes
  acceptor_process, acceptor_link      an acceptor as seen from the supervisor
  acceptor, supervisor_link, linked_worker                       the acceptor process itself
  held_connections    connections whose worker is stalled
  balancer         accept, peek at the request head, choose a worker, pass the connection on
routing/  which worker a connection belongs to (pure): request_head, worker_choice
worker/   process, link      a worker as seen from the process that passes it connections
          main, parent_link  the worker process itself
          messages, spec     what the two sides exchange
ipc/      lines of text and file descriptors between processes
"""
