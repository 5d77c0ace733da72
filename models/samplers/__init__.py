"""From noise to shapes; takes any `denoise(x, t)` callable and knows no network."""
