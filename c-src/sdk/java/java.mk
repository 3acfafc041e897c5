# The jars for Java and its two libraries, where JAVA_HOME names a JDK: the part
# of c-src/Makefile that includes this.

JAVA_HOME ?=
# The default Java of the library in the worker, and the directory where a copied
# jar looks for the libraries. Files for any machine and prefix are built with
# both empty.
JAVA_DEFAULT ?= $(JAVA_HOME)
JAR_HOME ?= $(ROOT)
# the time of every file in a jar, so that it has the same bytes
JAR_EPOCH := $(or $(SOURCE_DATE_EPOCH),946684800)

JAVA_SOURCES := $(sort $(wildcard $(SRC)sdk/java/nffi/*.java))
JAVA_TESTING_SOURCES := $(sort $(wildcard $(SRC)sdk/java/testing/nffi/*.java \
                          $(SRC)sdk/java/testing/nffi/testing/*.java))
JAVA_BRIDGE_SOURCES := $(sort $(wildcard $(SRC)sdk/java/bridge/*.c))
JAVA_BRIDGE_OBJECTS := $(JAVA_BRIDGE_SOURCES:$(SRC)sdk/java/bridge/%.c=$(BUILD_DIR)/java-bridge/%.o) \
                       $(addprefix $(BUILD_DIR)/,sdk/json.o sdk/trial.o lib/host/forked.o)
# stringConcat=inline: the first concatenation by invokedynamic costs 20 ms of the start of a process
# The JVM's second compiler costs more than it gives in a run of two seconds.
JAVAC = $(JAVA_HOME)/bin/javac -J-XX:TieredStopAtLevel=1 -J-XX:+UseSerialGC --release 11 \
        -encoding UTF-8 -g -Xlint:all -Werror -XDstringConcat=inline
# names of natives are Java's, not of a header
JAVA_CFLAGS = -D_GNU_SOURCE -Wno-missing-prototypes -I$(JAVA_HOME)/include -I$(JAVA_HOME)/include/linux \
              -DNFFI_JAVA_HOME='"$(JAVA_DEFAULT)"'
JAVA_FILES := $(BUILD_DIR)/nffi.jar $(BUILD_DIR)/nffi-testing.jar \
              $(BUILD_DIR)/libnffi_java.so $(BUILD_DIR)/libnffi_java_testhost.so

# $(1): the directory of the classes; their order and times are always the same.
# Without compression and a manifest the first call of a process takes 2 ms less.
jar = if [ -n '$(JAR_HOME)' ]; then printf '%s' '$(JAR_HOME)' > $(1)/nffi/home; fi && \
      cd $(1) && find . -type f | sed 's,^\./,,' | LC_ALL=C sort > ../$(@F).files && \
      find . -type f -exec touch -d @$(JAR_EPOCH) {} + && \
      TZ=UTC $(JAVA_HOME)/bin/jar --create --no-manifest --no-compress --file $@ @../$(@F).files

$(BUILD_DIR)/nffi.jar: $(JAVA_SOURCES)
	rm -rf $(BUILD_DIR)/java $@
	$(JAVAC) -d $(BUILD_DIR)/java $(JAVA_SOURCES)
	$(call jar,$(BUILD_DIR)/java)

$(BUILD_DIR)/nffi-testing.jar: $(JAVA_TESTING_SOURCES) $(BUILD_DIR)/nffi.jar
	rm -rf $(BUILD_DIR)/java-testing $@
	$(JAVAC) -cp $(BUILD_DIR)/nffi.jar -d $(BUILD_DIR)/java-testing \
	    $(JAVA_TESTING_SOURCES)
	$(call jar,$(BUILD_DIR)/java-testing)

$(BUILD_DIR)/java-bridge/%.o: $(SRC)sdk/java/bridge/%.c | $(BUILD_DIR)/java-bridge
	$(CC) $(ALL_CFLAGS) $(JAVA_CFLAGS) -c -o $@ $<

$(BUILD_DIR)/libnffi_java.so: $(JAVA_BRIDGE_OBJECTS) $(BUILD_DIR)/libnffi.so.1
	$(CC) -shared -pthread $(CFLAGS) $(LDFLAGS) \
	    -o $@ $(JAVA_BRIDGE_OBJECTS) -L$(BUILD_DIR) -lnffi \
	    -Wl,-z,nodelete -Wl,--enable-new-dtags,-rpath,'$$ORIGIN'

$(BUILD_DIR)/libnffi_java_testhost.so: $(SRC)sdk/java/testing/testhost.c \
                                       $(BUILD_DIR)/libnffi_testhost.so
	$(CC) $(BASE_CFLAGS) $(CFLAGS) $(JAVA_CFLAGS) -I$(SRC)testhost -pthread -shared \
	    $(LDFLAGS) -o $@ $< -L$(BUILD_DIR) -lnffi_testhost -lnffi \
	    -Wl,--enable-new-dtags,-rpath,'$$ORIGIN'

# The jars as a repository of Maven. Its version is a snapshot, whatever the version
# of nffi: Maven asks its central repository for none, and looks for a new one in
# each build. The build number is made of the content. $(1): the name of the jar.
MAVEN_DIR = $(DESTDIR)$(ROOT)/java/maven/local/nffi/$(1)/0-SNAPSHOT
MAVEN_HEAD = <modelVersion>4.0.0</modelVersion><groupId>local.nffi</groupId>\
             <artifactId>$(1)</artifactId><version>0-SNAPSHOT</version>
MAVEN_FILE = <snapshotVersion><extension>$(2)</extension><value>0-$$number</value>\
             <updated>20000101000000</updated></snapshotVersion>
define repository
install -d $(MAVEN_DIR)
rm -f $(MAVEN_DIR)/*
number=20000101.000000-$$(cksum < $(BUILD_DIR)/$(1).jar | awk '{ print $$1 % 1000000000 + 1 }') && \
ln -s ../../../../../$(1).jar $(MAVEN_DIR)/$(1)-0-$$number.jar && \
printf '%s\n' '<project>$(MAVEN_HEAD)</project>' > $(MAVEN_DIR)/$(1)-0-$$number.pom && \
printf '%s\n' "<metadata modelVersion=\"1.1.0\">$(subst <modelVersion>4.0.0</modelVersion>,,$(MAVEN_HEAD))<versioning><snapshot>\
<timestamp>20000101.000000</timestamp><buildNumber>$${number#*-}</buildNumber></snapshot>\
<lastUpdated>20000101000000</lastUpdated><snapshotVersions>$(call MAVEN_FILE,,jar)$(call MAVEN_FILE,,pom)</snapshotVersions>\
</versioning></metadata>" > $(MAVEN_DIR)/maven-metadata.xml
chmod 644 $(MAVEN_DIR)/*.pom $(MAVEN_DIR)/maven-metadata.xml
endef

ifneq ($(JAVA_HOME),)
all: $(JAVA_FILES)

.PHONY: install-java
install: install-java
install-java: all
	install -d $(DESTDIR)$(ROOT)/java $(DESTDIR)$(ROOT)/lib
	install -m 644 $(BUILD_DIR)/nffi.jar $(BUILD_DIR)/nffi-testing.jar \
	    $(DESTDIR)$(ROOT)/java/
	$(call repository,nffi)
	$(call repository,nffi-testing)
	install -m 755 $(BUILD_DIR)/libnffi_java.so \
	    $(BUILD_DIR)/libnffi_java_testhost.so $(DESTDIR)$(ROOT)/lib/
endif
