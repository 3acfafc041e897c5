-- A runtime in Java: a virtual machine runs PREFIX/nffi/java with the user's
-- class, as a process or hosted in the worker, where all runtimes share one.


local bridge = require "resty.nffi.bridge"
local child = require "resty.nffi.child"
local misuse = require "resty.nffi.misuse"
local product = require "resty.nffi.product"
local text = require "resty.nffi.text"


local concat = table.concat
local find = string.find
local gmatch = string.gmatch
local insert = table.insert
local ipairs = ipairs
local raise = misuse.raise
local tonumber = tonumber
local tostring = tostring
local type = type


local JAR = product.ROOT .. "/java/nffi.jar"
local LIBRARY = product.ROOT .. "/lib/libnffi_java.so"

local MAX_THREADS = 10000

-- The first version that warns about native libraries unless an option permits
-- them.
local FIRST_WITH_WARNING = 22


-- The entry of the manifest for Java: { home, version }, or { reason }.
local function built_with()
    local java = product.manifest().java

    return type(java) == "table" and java or {}
end


-- Returns a list, or one string with colons, relative to the nginx prefix.
local function class_path_of(path)
    if path == nil then
        return nil
    end

    local entries = {}

    if type(path) == "string" then
        for entry in gmatch(path, "[^:]+") do
            entries[#entries + 1] = entry
        end

    elseif type(path) == "table" then
        entries = path

    else
        raise("classpath must be a string or a list, got " .. tostring(path))
    end

    local absolute = {}

    for i, entry in ipairs(entries) do
        if type(entry) ~= "string" or entry == "" or find(entry, "[%z:]") then
            raise("classpath: invalid entry " .. tostring(entry))
        end

        absolute[i] = child.absolute(entry)
    end

    return absolute
end


local function threads_of(threads)
    if threads == nil or threads == "virtual" then
        return threads
    end

    local n = tonumber(threads)

    if not n or n < 1 or n > MAX_THREADS or n % 1 ~= 0 then
        raise("threads must be a whole number from 1 to " .. MAX_THREADS
              .. " or \"virtual\", got " .. tostring(threads)
              .. misuse.hint(threads, { virtual = true }))
    end

    return n
end


local function arguments_of(arguments)
    if arguments == nil or #arguments == 0 then
        return nil
    end

    local strings = {}

    for i, argument in ipairs(arguments) do
        strings[i] = text.of(argument)
    end

    return strings
end


-- Returns HOME of a program HOME/bin/java, or nil for another path.
local function home_of(program)
    return program:match("^(.*)/bin/java$")
end


-- read once, not at each load
local warned = {}


local function warns_of_libraries(program)
    if warned[program] ~= nil then
        return warned[program]
    end

    local home = home_of(program)
    local release = home and product.read_file(home .. "/release")
    local major = release and release:match("JAVA_VERSION=\"(%d+)")

    warned[program] = (tonumber(major) or 0) >= FIRST_WITH_WARNING

    return warned[program]
end


local programs = { "/usr/local/bin/java", "/usr/bin/java" }


local built


-- Returns why this product has no Java, or nil. The Java of the build is
-- preferred.
local function missing()
    if not built then
        built = built_with()

        if built.home then
            insert(programs, 1, built.home .. "/bin/java")
        end
    end

    return built.reason and "this product was built without Java: "
           .. built.reason .. "; install a JDK and run `nffi build` again"
end


return bridge.new({
    name = "java",
    title = "Java",
    module_example = "\"com.example.App\"",
    programs = programs,
    options = {
        host = true,
        handler = true,
        classpath = true,
        threads = true,
        jvm_args = true,
    },
    process_options = {},
    lists = { "jvm_args" },
    missing = missing,

    settings = function(options, settings)
        settings.threads = threads_of(options.threads)
        settings.codec = nil
        settings.program = nil

        -- checked for both hosts; the process has it on its command line
        local class_path = class_path_of(options.classpath)

        if options.host ~= "worker" then
            -- Java does not use it, but it distinguishes runtimes
            settings.command = {
                class_path = class_path,
                jvm_args = arguments_of(options.jvm_args),
            }
            return
        end

        settings.classpath = class_path
        settings.jvm_args = arguments_of(options.jvm_args)

        if options.program ~= nil then
            settings.java_home = home_of(child.absolute(options.program))

            if not settings.java_home then
                raise("program must be HOME/bin/java for host = \"worker\", "
                      .. "got " .. options.program)
            end

        else
            -- a prebuilt library was compiled for no Java
            settings.default_java_home = built_with().home
        end
    end,

    argv = function(program, options)
        -- java.util.logging is configured when it is used for the first time
        local argv = {
            program, "-Xrs",
            "-Dnffi.library=" .. LIBRARY,
            "-Djava.util.logging.config.class=nffi.LogHandler$Configuration"
        }

        if warns_of_libraries(program) then
            argv[#argv + 1] = "--enable-native-access=ALL-UNNAMED"
        end

        for _, argument in ipairs(arguments_of(options.jvm_args) or {}) do
            argv[#argv + 1] = argument
        end

        local class_path = class_path_of(options.classpath) or {}

        insert(class_path, 1, JAR)
        argv[#argv + 1] = "-cp"
        argv[#argv + 1] = concat(class_path, ":")
        argv[#argv + 1] = "nffi.Main"

        return argv
    end,
})
