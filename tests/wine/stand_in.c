/*
 * A program that does nothing itself: it tells the test what it was called with, and does as it is told.
 *
 * Installed in the place of certutil.exe, fc.exe, whoami.exe and others, whose namesakes in Wine accept anything. It
 * asks 127.0.0.1:CARECOVER_STAND_IN_PORT and ends with 97 where nobody answers, so a batch can never pass by luck.
 *
 *     asks:     u32 count, then count strings (u32 length, UTF-8): token, path of this program,
 *               current directory, kind of standard input, arguments ...
 *     is told:  'o' or 'e', u32 length, bytes      to standard output, to standard error
 *               'x', u32                           exit code; the end
 *
 * Numbers are little-endian. Nothing else is linked (no shell32: it makes every start slower).
 */
#include <winsock2.h>
#include <windows.h>
#include <stdlib.h>

enum { NOBODY_ANSWERS = 97, TIMEOUT_MS = 300000 };

/* mingw would expand * and ? in arguments, which Windows leaves to the program. */
int _dowildcard = 0;

static SOCKET server;

static void give_up(void) { ExitProcess(NOBODY_ANSWERS); }

static void send_all(const char *data, int length) {
    while (length > 0) {
        int sent = send(server, data, length, 0);
        if (sent <= 0) give_up();
        data += sent;
        length -= sent;
    }
}

static void receive_all(char *data, int length) {
    while (length > 0) {
        int got = recv(server, data, length, 0);
        if (got <= 0) give_up();
        data += got;
        length -= got;
    }
}

static void send_number(DWORD number) { send_all((const char *)&number, 4); }

static DWORD receive_number(void) {
    DWORD number;
    receive_all((char *)&number, 4);
    return number;
}

static void send_text(const wchar_t *text) {
    int length = WideCharToMultiByte(CP_UTF8, 0, text, -1, NULL, 0, NULL, NULL);
    char *bytes = malloc(length);
    if (!bytes) give_up();
    WideCharToMultiByte(CP_UTF8, 0, text, -1, bytes, length, NULL, NULL);
    send_number(length - 1);
    send_all(bytes, length - 1);
    free(bytes);
}

static const wchar_t *kind_of_input(void) {
    HANDLE input = GetStdHandle(STD_INPUT_HANDLE);
    if (!input || input == INVALID_HANDLE_VALUE) return L"none";
    switch (GetFileType(input)) {
    case FILE_TYPE_CHAR: return L"device";
    case FILE_TYPE_DISK: return L"file";
    case FILE_TYPE_PIPE: return L"pipe";
    }
    return L"unknown";
}

static void pass_on(DWORD which) {
    char piece[4096];
    DWORD left = receive_number();
    while (left > 0) {
        DWORD size = left < sizeof piece ? left : sizeof piece, written, done = 0;
        receive_all(piece, size);
        while (done < size) {
            if (!WriteFile(GetStdHandle(which), piece + done, size - done, &written, NULL) || !written) break;
            done += written;
        }
        left -= size;
    }
}

int wmain(int count, wchar_t **arguments) {
    wchar_t port[16], token[128], program[MAX_PATH], directory[MAX_PATH];
    struct sockaddr_in address = {0};
    WSADATA data;
    DWORD timeout = TIMEOUT_MS;
    char kind;

    if (!GetEnvironmentVariableW(L"CARECOVER_STAND_IN_PORT", port, 16)) give_up();
    if (!GetEnvironmentVariableW(L"CARECOVER_STAND_IN_TOKEN", token, 128)) give_up();
    if (!GetModuleFileNameW(NULL, program, MAX_PATH) || !GetCurrentDirectoryW(MAX_PATH, directory)) give_up();
    if (WSAStartup(MAKEWORD(2, 2), &data)) give_up();
    server = socket(AF_INET, SOCK_STREAM, 0);
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    address.sin_port = htons((unsigned short)_wtoi(port));
    if (server == INVALID_SOCKET || connect(server, (struct sockaddr *)&address, sizeof address)) give_up();
    setsockopt(server, SOL_SOCKET, SO_RCVTIMEO, (const char *)&timeout, sizeof timeout);
    setsockopt(server, SOL_SOCKET, SO_SNDTIMEO, (const char *)&timeout, sizeof timeout);

    send_number(3 + count);
    send_text(token);
    send_text(program);
    send_text(directory);
    send_text(kind_of_input());
    for (int at = 1; at < count; at++) send_text(arguments[at]);

    for (;;) {
        receive_all(&kind, 1);
        if (kind == 'o') pass_on(STD_OUTPUT_HANDLE);
        else if (kind == 'e') pass_on(STD_ERROR_HANDLE);
        else if (kind == 'x') ExitProcess(receive_number());
        else give_up();
    }
}
