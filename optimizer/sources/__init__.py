"""What is known from elsewhere than the SolaX cloud: prices and the car's charge, by HTTP or from a file."""
