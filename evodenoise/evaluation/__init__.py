"""How good a result is: metrics, benchmark, figures."""
