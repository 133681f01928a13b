"""A demo EHR over the simulated hospital: does to the service what an EHR does, on loopback alone.

It stands outside of the service: it knows no more of it than any EHR would, and nothing of the
service imports it but ``service.demo``. Its patients do not exist, and every page of it says so.
"""
