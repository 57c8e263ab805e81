"""What Spool costs, measured beside what the same work costs without it. `make bench` prints it and writes bench/results/."""
