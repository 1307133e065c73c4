// One device of libsignal-protocol-c, or of libomemo-c if OMEMO_C is defined, that speaks in lines, so that a script can
// set it against the crate (libsignal.py). A program of its own: those libraries are never linked to Waxwing.
//
// Started with `legacy` or `omemo2` and a file in which all it keeps is stored after every line; if the file is there it
// goes on with it. All bytes are in hex. Lines in, one line out each:
// - `bundle` -> `<identity> <signed prekey id> <signed prekey> <signature> <id>:<prekey> …`
// - `start <identity> <signed prekey id> <signed prekey> <signature> <prekey id> <prekey>` -> `ok`
// - `send <key material>` -> `<0|1 key exchange> <key>`
// - `open <0|1> <key>` -> `ok <key material>`
// What fails gives `error` and the library's number.
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/rand.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#ifdef OMEMO_C
#include <omemo/key_helper.h>
#include <omemo/protocol.h>
#include <omemo/session_builder.h>
#include <omemo/session_cipher.h>
#include <omemo/session_pre_key.h>
#include <omemo/signal_protocol.h>
#else
#include <signal/key_helper.h>
#include <signal/protocol.h>
#include <signal/session_builder.h>
#include <signal/session_cipher.h>
#include <signal/session_pre_key.h>
#include <signal/signal_protocol.h>
#endif

#define PREKEYS 10
#define WORDS 16
#define SIGNED_ID 77
#define REGISTRATION 4711

// What is kept, by a letter and a number: `i`dentity's public and secret half, `p`rekeys, the `s`igned prekey, the
// `r`ecord of sessions.
struct entry {
    char kind;
    uint32_t id;
    uint8_t *bytes;
    size_t length;
    struct entry *next;
};

static struct entry *kept;
static signal_context *context;
static signal_protocol_store_context *store;
static const char *state_file;
static int omemo2;
static const signal_protocol_address them = {.name = "us@example.org", .name_len = 14, .device_id = 1};

// --- hex and the file ---------------------------------------------------------------------------------------------

static void print_hex(FILE *out, const uint8_t *bytes, size_t length) {
    for (size_t at = 0; at < length; at++) {
        fprintf(out, "%02x", bytes[at]);
    }
}

static size_t read_hex(const char *text, uint8_t **bytes) {
    size_t length = strlen(text) / 2;
    *bytes = malloc(length + 1);
    for (size_t at = 0; at < length; at++) {
        unsigned value = 0;
        sscanf(text + 2 * at, "%2x", &value);
        (*bytes)[at] = (uint8_t)value;
    }
    return length;
}

static struct entry **find(char kind, uint32_t id) {
    struct entry **at = &kept;
    while (*at && ((*at)->kind != kind || (*at)->id != id)) {
        at = &(*at)->next;
    }
    return at;
}

static void forget(char kind, uint32_t id) {
    struct entry **at = find(kind, id), *gone = *at;
    if (gone) {
        *at = gone->next;
        free(gone->bytes);
        free(gone);
    }
}

static void keep(char kind, uint32_t id, const uint8_t *bytes, size_t length) {
    forget(kind, id);
    struct entry *entry = malloc(sizeof *entry);
    *entry = (struct entry){kind, id, malloc(length + 1), length, kept};
    memcpy(entry->bytes, bytes, length);
    kept = entry;
}

static signal_buffer *give(char kind, uint32_t id) {
    struct entry *entry = *find(kind, id);
    return entry ? signal_buffer_create(entry->bytes, entry->length) : NULL;
}

static void save(void) {
    FILE *file = fopen(state_file, "w");
    for (struct entry *entry = kept; entry; entry = entry->next) {
        fprintf(file, "%c %u ", entry->kind, entry->id);
        print_hex(file, entry->bytes, entry->length);
        fputc('\n', file);
    }
    fclose(file);
}

static int load(void) {
    FILE *file = fopen(state_file, "r");
    char *line = NULL;
    size_t room = 0;
    if (!file) {
        return 0;
    }
    while (getline(&line, &room, file) > 0) {
        line[strcspn(line, "\n")] = 0;
        char *end;
        uint32_t id = (uint32_t)strtoul(line + 2, &end, 10);
        uint8_t *bytes;
        size_t length = read_hex(end + 1, &bytes);
        keep(line[0], id, bytes, length);
        free(bytes);
    }
    free(line);
    fclose(file);
    return 1;
}

// --- what the library wants to be given: ciphers ------------------------------------------------------------------

static int random_bytes(uint8_t *data, size_t length, void *user) {
    (void)user;
    return RAND_bytes(data, (int)length) == 1 ? 0 : SG_ERR_UNKNOWN;
}

static int mac_begin(void **mac, const uint8_t *key, size_t length, void *user) {
    (void)user;
    *mac = EVP_MD_CTX_new();
    EVP_PKEY *wrapped = EVP_PKEY_new_mac_key(EVP_PKEY_HMAC, NULL, key, (int)length);
    int good = EVP_DigestSignInit(*mac, NULL, EVP_sha256(), NULL, wrapped);
    EVP_PKEY_free(wrapped);
    return good == 1 ? 0 : SG_ERR_UNKNOWN;
}

static int mac_more(void *mac, const uint8_t *data, size_t length, void *user) {
    (void)user;
    return EVP_DigestSignUpdate(mac, data, length) == 1 ? 0 : SG_ERR_UNKNOWN;
}

static int mac_end(void *mac, signal_buffer **output, void *user) {
    (void)user;
    uint8_t bytes[EVP_MAX_MD_SIZE];
    size_t length = sizeof bytes;
    if (EVP_DigestSignFinal(mac, bytes, &length) != 1) {
        return SG_ERR_UNKNOWN;
    }
    *output = signal_buffer_create(bytes, length);
    return 0;
}

static int hash_begin(void **hash, void *user) {
    (void)user;
    *hash = EVP_MD_CTX_new();
    return EVP_DigestInit_ex(*hash, EVP_sha512(), NULL) == 1 ? 0 : SG_ERR_UNKNOWN;
}

static int hash_more(void *hash, const uint8_t *data, size_t length, void *user) {
    (void)user;
    return EVP_DigestUpdate(hash, data, length) == 1 ? 0 : SG_ERR_UNKNOWN;
}

static int hash_end(void *hash, signal_buffer **output, void *user) {
    (void)user;
    uint8_t bytes[EVP_MAX_MD_SIZE];
    unsigned length = sizeof bytes;
    if (EVP_DigestFinal_ex(hash, bytes, &length) != 1) {
        return SG_ERR_UNKNOWN;
    }
    *output = signal_buffer_create(bytes, length);
    return EVP_DigestInit_ex(hash, EVP_sha512(), NULL) == 1 ? 0 : SG_ERR_UNKNOWN;
}

static void free_context(void *one, void *user) {
    (void)user;
    EVP_MD_CTX_free(one);
}

static int cipher(int forth, signal_buffer **output, int kind, const uint8_t *key, size_t key_length, const uint8_t *iv,
                  const uint8_t *text, size_t length) {
    const EVP_CIPHER *which = kind == SG_CIPHER_AES_CBC_PKCS5 && key_length == 32 ? EVP_aes_256_cbc() : NULL;
    if (!which) {
        return SG_ERR_UNKNOWN;
    }
    EVP_CIPHER_CTX *one = EVP_CIPHER_CTX_new();
    uint8_t *bytes = malloc(length + 32);
    int first = 0, last = 0;
    int good = EVP_CipherInit_ex(one, which, NULL, key, iv, forth) == 1 &&
               EVP_CipherUpdate(one, bytes, &first, text, (int)length) == 1 &&
               EVP_CipherFinal_ex(one, bytes + first, &last) == 1;
    if (good) {
        *output = signal_buffer_create(bytes, (size_t)(first + last));
    }
    free(bytes);
    EVP_CIPHER_CTX_free(one);
    return good ? 0 : SG_ERR_UNKNOWN;
}

static int encrypt(signal_buffer **output, int kind, const uint8_t *key, size_t key_length, const uint8_t *iv,
                   size_t iv_length, const uint8_t *text, size_t length, void *user) {
    (void)user;
    return iv_length == 16 ? cipher(1, output, kind, key, key_length, iv, text, length) : SG_ERR_UNKNOWN;
}

static int decrypt(signal_buffer **output, int kind, const uint8_t *key, size_t key_length, const uint8_t *iv,
                   size_t iv_length, const uint8_t *text, size_t length, void *user) {
    (void)user;
    return iv_length == 16 ? cipher(0, output, kind, key, key_length, iv, text, length) : SG_ERR_UNKNOWN;
}

// --- what the library wants to be given: a store ------------------------------------------------------------------

static int load_session(signal_buffer **record, signal_buffer **user_record, const signal_protocol_address *of, void *user) {
    (void)user_record, (void)of, (void)user;
    *record = give('r', 0);
    return *record ? 1 : 0;
}

static int store_session(const signal_protocol_address *of, uint8_t *record, size_t length, uint8_t *user_record,
                         size_t user_length, void *user) {
    (void)of, (void)user_record, (void)user_length, (void)user;
    keep('r', 0, record, length);
    return 0;
}

static int has_session(const signal_protocol_address *of, void *user) {
    (void)of, (void)user;
    return *find('r', 0) != NULL;
}

static int load_prekey(signal_buffer **record, uint32_t id, void *user) {
    (void)user;
    *record = give('p', id);
    return *record ? SG_SUCCESS : SG_ERR_INVALID_KEY_ID;
}

static int store_prekey(uint32_t id, uint8_t *record, size_t length, void *user) {
    (void)user;
    keep('p', id, record, length);
    return 0;
}

static int has_prekey(uint32_t id, void *user) {
    (void)user;
    return *find('p', id) != NULL;
}

static int remove_prekey(uint32_t id, void *user) {
    (void)user;
    forget('p', id);
    return 0;
}

static int load_signed(signal_buffer **record, uint32_t id, void *user) {
    (void)user;
    *record = give('s', id);
    return *record ? SG_SUCCESS : SG_ERR_INVALID_KEY_ID;
}

static int store_signed(uint32_t id, uint8_t *record, size_t length, void *user) {
    (void)user;
    keep('s', id, record, length);
    return 0;
}

static int has_signed(uint32_t id, void *user) {
    (void)user;
    return *find('s', id) != NULL;
}

static int load_identity(signal_buffer **public_half, signal_buffer **secret_half, void *user) {
    (void)user;
    *public_half = give('i', 0);
    *secret_half = give('i', 1);
    return 0;
}

static int registration(void *user, uint32_t *id) {
    (void)user;
    *id = REGISTRATION;
    return 0;
}

static int save_identity(const signal_protocol_address *of, uint8_t *key, size_t length, void *user) {
    (void)of, (void)key, (void)length, (void)user;
    return 0;
}

static int trusted(const signal_protocol_address *of, uint8_t *key, size_t length, void *user) {
    (void)of, (void)key, (void)length, (void)user;
    return 1;
}

static void set_up(void) {
    signal_crypto_provider provider = {
        .random_func = random_bytes,
        .hmac_sha256_init_func = mac_begin,
        .hmac_sha256_update_func = mac_more,
        .hmac_sha256_final_func = mac_end,
        .hmac_sha256_cleanup_func = free_context,
        .sha512_digest_init_func = hash_begin,
        .sha512_digest_update_func = hash_more,
        .sha512_digest_final_func = hash_end,
        .sha512_digest_cleanup_func = free_context,
        .encrypt_func = encrypt,
        .decrypt_func = decrypt,
    };
    signal_protocol_session_store sessions = {
        .load_session_func = load_session, .store_session_func = store_session, .contains_session_func = has_session};
    signal_protocol_pre_key_store prekeys = {.load_pre_key = load_prekey,
                                             .store_pre_key = store_prekey,
                                             .contains_pre_key = has_prekey,
                                             .remove_pre_key = remove_prekey};
    signal_protocol_signed_pre_key_store signed_prekeys = {.load_signed_pre_key = load_signed,
                                                           .store_signed_pre_key = store_signed,
                                                           .contains_signed_pre_key = has_signed};
    signal_protocol_identity_key_store identities = {.get_identity_key_pair = load_identity,
                                                     .get_local_registration_id = registration,
                                                     .save_identity = save_identity,
                                                     .is_trusted_identity = trusted};
    signal_context_create(&context, NULL);
    signal_context_set_crypto_provider(context, &provider);
    signal_protocol_store_context_create(&store, context);
    signal_protocol_store_context_set_session_store(store, &sessions);
    signal_protocol_store_context_set_pre_key_store(store, &prekeys);
    signal_protocol_store_context_set_signed_pre_key_store(store, &signed_prekeys);
    signal_protocol_store_context_set_identity_key_store(store, &identities);
}

static void make_keys(void) {
    ratchet_identity_key_pair *identity;
    signal_buffer *buffer;
    signal_protocol_key_helper_generate_identity_key_pair(&identity, context);
    ec_public_key_serialize(&buffer, ratchet_identity_key_pair_get_public(identity));
    keep('i', 0, signal_buffer_data(buffer), signal_buffer_len(buffer));
    ec_private_key_serialize(&buffer, ratchet_identity_key_pair_get_private(identity));
    keep('i', 1, signal_buffer_data(buffer), signal_buffer_len(buffer));
    session_signed_pre_key *signed_prekey;
    signal_protocol_key_helper_generate_signed_pre_key(&signed_prekey, identity, SIGNED_ID, 0, context);
    signal_protocol_signed_pre_key_store_key(store, signed_prekey);
    signal_protocol_key_helper_pre_key_list_node *list;
    signal_protocol_key_helper_generate_pre_keys(&list, 1, PREKEYS, context);
    for (signal_protocol_key_helper_pre_key_list_node *at = list; at; at = signal_protocol_key_helper_key_list_next(at)) {
        signal_protocol_pre_key_store_key(store, signal_protocol_key_helper_key_list_element(at));
    }
}

// --- what differs between the generations -------------------------------------------------------------------------

static void print_key(const ec_public_key *key) {
    signal_buffer *buffer;
#ifdef OMEMO_C
    if (omemo2) {
        ec_public_key_serialize_omemo(&buffer, key);
    } else
#endif
        ec_public_key_serialize(&buffer, key);
    print_hex(stdout, signal_buffer_data(buffer), signal_buffer_len(buffer));
    signal_buffer_free(buffer);
}

static int read_key(ec_public_key **key, const char *text, int is_identity) {
    uint8_t *bytes;
    size_t length = read_hex(text, &bytes);
    int result;
#ifdef OMEMO_C
    if (omemo2) {
        result = is_identity ? curve_decode_point_ed(key, bytes, length, context)
                             : curve_decode_point_mont(key, bytes, length, context);
    } else
#endif
        result = curve_decode_point(key, bytes, length, context);
    (void)is_identity;
    free(bytes);
    return result;
}

static void print_identity(const ec_public_key *key) {
#ifdef OMEMO_C
    if (omemo2) {
        signal_buffer *edwards = ec_public_key_get_ed(key);
        print_hex(stdout, signal_buffer_data(edwards), signal_buffer_len(edwards));
        return;
    }
#endif
    print_key(key);
}

static void print_signature(const session_signed_pre_key *key) {
#ifdef OMEMO_C
    if (omemo2) {
        print_hex(stdout, session_signed_pre_key_get_signature_omemo(key), session_signed_pre_key_get_signature_omemo_len(key));
        return;
    }
#endif
    print_hex(stdout, session_signed_pre_key_get_signature(key), session_signed_pre_key_get_signature_len(key));
}

static session_cipher *new_cipher(void) {
    session_cipher *one;
    session_cipher_create(&one, store, &them, context);
#ifdef OMEMO_C
    session_cipher_set_version(one, omemo2 ? CIPHERTEXT_OMEMO_VERSION : CIPHERTEXT_CURRENT_VERSION);
#endif
    return one;
}

// --- lines --------------------------------------------------------------------------------------------------------

static void bundle(void) {
    ec_public_key *identity;
    signal_buffer *stored = give('i', 0);
    curve_decode_point(&identity, signal_buffer_data(stored), signal_buffer_len(stored), context);
    print_identity(identity);
    session_signed_pre_key *signed_prekey;
    signal_protocol_signed_pre_key_load_key(store, &signed_prekey, SIGNED_ID);
    printf(" %u ", SIGNED_ID);
    print_key(ec_key_pair_get_public(session_signed_pre_key_get_key_pair(signed_prekey)));
    putchar(' ');
    print_signature(signed_prekey);
    for (uint32_t id = 1; id <= PREKEYS; id++) {
        session_pre_key *prekey;
        if (signal_protocol_pre_key_load_key(store, &prekey, id) == 0) {
            printf(" %u:", id);
            print_key(ec_key_pair_get_public(session_pre_key_get_key_pair(prekey)));
        }
    }
    putchar('\n');
}

static int start(char **words) {
    ec_public_key *identity, *signed_prekey, *prekey;
    uint8_t *signature;
    size_t length = read_hex(words[4], &signature);
    if (read_key(&identity, words[1], 1) || read_key(&signed_prekey, words[3], 0) || read_key(&prekey, words[6], 0)) {
        return SG_ERR_INVALID_KEY;
    }
    session_pre_key_bundle *their_bundle;
    int result = session_pre_key_bundle_create(&their_bundle, 1, 1, (uint32_t)strtoul(words[5], NULL, 10), prekey,
                                               (uint32_t)strtoul(words[2], NULL, 10), signed_prekey, signature, length,
                                               identity);
    session_builder *builder;
    session_builder_create(&builder, store, &them, context);
#ifdef OMEMO_C
    session_builder_set_version(builder, omemo2 ? CIPHERTEXT_OMEMO_VERSION : CIPHERTEXT_CURRENT_VERSION);
#endif
    return result ? result : session_builder_process_pre_key_bundle(builder, their_bundle);
}

static int send_material(const char *material) {
    uint8_t *bytes;
    size_t length = read_hex(material, &bytes);
    ciphertext_message *message;
    session_cipher *one = new_cipher();
    int result = session_cipher_encrypt(one, bytes, length, &message);
    session_cipher_free(one);
    free(bytes);
    if (result == 0) {
        signal_buffer *serialized = ciphertext_message_get_serialized(message);
        printf("%d ", ciphertext_message_get_type(message) == CIPHERTEXT_PREKEY_TYPE);
        print_hex(stdout, signal_buffer_data(serialized), signal_buffer_len(serialized));
        putchar('\n');
    }
    return result;
}

static int open_exchange(session_cipher *one, const uint8_t *bytes, size_t length, signal_buffer **plaintext) {
    pre_key_signal_message *message;
    int result;
#ifdef OMEMO_C
    if (omemo2) {
        result = pre_key_signal_message_deserialize_omemo(&message, bytes, length, 1, context);
    } else
#endif
        result = pre_key_signal_message_deserialize(&message, bytes, length, context);
    return result ? result : session_cipher_decrypt_pre_key_signal_message(one, message, NULL, plaintext);
}

static int open_message(session_cipher *one, const uint8_t *bytes, size_t length, signal_buffer **plaintext) {
    signal_message *message;
    int result;
#ifdef OMEMO_C
    if (omemo2) {
        result = signal_message_deserialize_omemo(&message, bytes, length, context);
    } else
#endif
        result = signal_message_deserialize(&message, bytes, length, context);
    return result ? result : session_cipher_decrypt_signal_message(one, message, NULL, plaintext);
}

static int open_key(char **words) {
    uint8_t *bytes;
    size_t length = read_hex(words[2], &bytes);
    signal_buffer *plaintext = NULL;
    session_cipher *one = new_cipher();
    int is_exchange = words[1][0] == '1';
    int result = is_exchange ? open_exchange(one, bytes, length, &plaintext) : open_message(one, bytes, length, &plaintext);
    session_cipher_free(one);
    free(bytes);
    if (result == 0) {
        printf("ok ");
        print_hex(stdout, signal_buffer_data(plaintext), signal_buffer_len(plaintext));
        putchar('\n');
    }
    return result;
}

static int answer(char *line) {
    char *words[WORDS] = {0};
    int count = 0;
    for (char *word = strtok(line, " \n"); word && count < WORDS - 1; word = strtok(NULL, " \n")) {
        words[count++] = word;
    }
    if (count == 1 && !strcmp(words[0], "bundle")) {
        bundle();
        return 0;
    }
    if (count == 7 && !strcmp(words[0], "start")) {
        int result = start(words);
        if (result == 0) {
            puts("ok");
        }
        return result;
    }
    if (count == 2 && !strcmp(words[0], "send")) {
        return send_material(words[1]);
    }
    if (count == 3 && !strcmp(words[0], "open")) {
        return open_key(words);
    }
    return SG_ERR_INVAL;
}

int main(int count, char **arguments) {
    if (count != 3) {
        fprintf(stderr, "%s legacy|omemo2 FILE\n", arguments[0]);
        return 2;
    }
    omemo2 = !strcmp(arguments[1], "omemo2");
    state_file = arguments[2];
    set_up();
    if (!load()) {
        make_keys();
    }
    char *line = NULL;
    size_t room = 0;
    while (getline(&line, &room, stdin) > 0) {
        int result = answer(line);
        if (result) {
            printf("error %d\n", result);
        }
        save();
        fflush(stdout);
    }
    free(line);
    return 0;
}
