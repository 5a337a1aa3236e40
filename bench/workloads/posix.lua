require "posix"
