"""`zmqio serve`: one port, many worker processes, and every session with the worker that owns it.

serve        options in, a supervisor on a loop
supervisor   signals, rolling restart, order of the stop        own_broker   the broker when none is named
slot         keeps one worker running in each place             crew         all workers that live
front        what stands before the workers: one balancer in the supervisor's process, or
acceptors    processes that have one each                       acceptor_process, acceptor_link, acceptor_lines
acceptor     the other side, a process each                     linked_worker, supervisor_link
balancer     accepts, peeks, hands over                         heads, proxies, choice   what it decides by (pure)
worker       the other side, a process each                     worker_link, parent_link, reports   between the two
passing_link what worker_link and acceptor_link share: lines and open sockets out, lines in
"""
