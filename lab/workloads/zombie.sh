#!/bin/sh
# A child that has ended with status 7 and whose parent never asks for it.
(exit 7) &
exec sleep 1000000
