"""What a balancer costs: `zmqio serve` beside nginx."""
