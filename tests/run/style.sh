#!/bin/bash
# The rules of the house: see tests/tools/check-style.
# Runs beside others.
exec tests/tools/check-style
