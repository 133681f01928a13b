"""The EHRs' own FHIR servers: which may be asked, at which addresses, and how.

A request names the server that its data lies on. Whoever can send a request could so have this
service connect to anything: so a server is only asked if the operator has paired it with the issuer
of the request, and only at an address that is where the public internet is, or that the operator
has named.
"""
