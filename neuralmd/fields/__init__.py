"""Fields f_theta: what gives the acceleration at a phase state."""
