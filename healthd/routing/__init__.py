"""Pure: may clients be sent to a cluster; hysteresis for each, and the guards of the fleet."""
