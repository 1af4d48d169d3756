#!/bin/bash
# The rules of the house: see tests/tools/check-style.
exec tests/tools/check-style
