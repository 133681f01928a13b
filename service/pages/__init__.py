"""The pages that people see: rendered here, whole without scripts, with one stylesheet of ours.

They hold to the strictest policy there is (``default-src 'none'; style-src 'self'; form-action
'self'``): no script, no style and no handler within a page, and nothing from elsewhere. What
changes something is a form with the session's token in it (``templates/base.html`` has the macro).
"""
