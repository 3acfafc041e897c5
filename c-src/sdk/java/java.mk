# The jars for Java and its two libraries, where JAVA_HOME names a JDK: the part
# of c-src/Makefile that includes this.

JAVA_HOME ?=
# of every file in a jar, unless SOURCE_DATE_EPOCH tells it: the same bytes
JAR_EPOCH := $(or $(SOURCE_DATE_EPOCH),946684800)

JAVA_SOURCES := $(sort $(wildcard $(SRC)sdk/java/nffi/*.java))
JAVA_TESTING_SOURCES := $(sort $(wildcard $(SRC)sdk/java/testing/nffi/*.java \
                          $(SRC)sdk/java/testing/nffi/testing/*.java))
JAVA_BRIDGE_SOURCES := $(sort $(wildcard $(SRC)sdk/java/bridge/*.c)) $(SRC)sdk/shared/trial.c \
                        $(SRC)lib/host/child.c
JAVAC = $(JAVA_HOME)/bin/javac --release 11 -encoding UTF-8 -g -Xlint:all -Werror
# names of natives are Java's, not of a header
JAVA_CFLAGS = -D_GNU_SOURCE -Wno-missing-prototypes -I$(JAVA_HOME)/include -I$(JAVA_HOME)/include/linux \
              -DNFFI_JAVA_HOME='"$(JAVA_HOME)"'
JAVA_FILES := $(BUILD_DIR)/nffi.jar $(BUILD_DIR)/nffi-testing.jar \
              $(BUILD_DIR)/libnffi_java.so $(BUILD_DIR)/libnffi_java_testhost.so

# $(1): the folder of the classes; their order and times are always the same
jar = mkdir -p $(1)/META-INF && \
      printf 'Manifest-Version: 1.0\r\nImplementation-Version: $(VERSION)\r\n' \
          > $(1)/META-INF/MANIFEST.MF && \
      cd $(1) && find . -type f | sed 's,^\./,,' | LC_ALL=C sort > ../$(@F).files && \
      find . -type f -exec touch -d @$(JAR_EPOCH) {} + && \
      TZ=UTC $(JAVA_HOME)/bin/jar --create --no-manifest --file $@ @../$(@F).files

$(BUILD_DIR)/nffi.jar: $(JAVA_SOURCES)
	rm -rf $(BUILD_DIR)/java $@
	$(JAVAC) -d $(BUILD_DIR)/java $(JAVA_SOURCES)
	$(call jar,$(BUILD_DIR)/java)

$(BUILD_DIR)/nffi-testing.jar: $(JAVA_TESTING_SOURCES) $(BUILD_DIR)/nffi.jar
	rm -rf $(BUILD_DIR)/java-testing $@
	$(JAVAC) -cp $(BUILD_DIR)/nffi.jar -d $(BUILD_DIR)/java-testing \
	    $(JAVA_TESTING_SOURCES)
	$(call jar,$(BUILD_DIR)/java-testing)

$(BUILD_DIR)/libnffi_java.so: $(JAVA_BRIDGE_SOURCES) \
                              $(wildcard $(SRC)sdk/java/bridge/*.h) \
                              $(SRC)sdk/shared/trial.h $(SRC)lib/host/child.h \
                              $(BUILD_DIR)/libnffi.so.1
	$(CC) $(BASE_CFLAGS) $(CFLAGS) $(JAVA_CFLAGS) -pthread -shared $(LDFLAGS) \
	    -o $@ $(JAVA_BRIDGE_SOURCES) -L$(BUILD_DIR) -lnffi \
	    -Wl,-z,nodelete -Wl,--enable-new-dtags,-rpath,'$$ORIGIN'

$(BUILD_DIR)/libnffi_java_testhost.so: $(SRC)sdk/java/testing/testhost.c \
                                       $(BUILD_DIR)/libnffi_testhost.so
	$(CC) $(BASE_CFLAGS) $(CFLAGS) $(JAVA_CFLAGS) -I$(SRC)testhost -pthread -shared \
	    $(LDFLAGS) -o $@ $< -L$(BUILD_DIR) -lnffi_testhost -lnffi \
	    -Wl,--enable-new-dtags,-rpath,'$$ORIGIN'

ifneq ($(JAVA_HOME),)
all: $(JAVA_FILES)

.PHONY: install-java
install: install-java
install-java: all
	install -d $(DESTDIR)$(ROOT)/java $(DESTDIR)$(ROOT)/lib
	install -m 644 $(BUILD_DIR)/nffi.jar $(BUILD_DIR)/nffi-testing.jar \
	    $(DESTDIR)$(ROOT)/java/
	install -m 755 $(BUILD_DIR)/libnffi_java.so \
	    $(BUILD_DIR)/libnffi_java_testhost.so $(DESTDIR)$(ROOT)/lib/
endif
