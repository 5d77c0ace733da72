"""The science: geometry, network, sampler, data, training and evaluation; no HTTP, no threads, no clock."""
